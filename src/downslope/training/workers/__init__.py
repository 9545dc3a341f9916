"""Several processes that train one model: how they start, meet, exchange and sum, and how they end."""
