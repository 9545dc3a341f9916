"""Several processes that train one model: who they are, what they tell one another, how they start and how they end."""
