"""What a recipe means: its numbers beside the theory's, as data and as sentences in English and Chinese."""
