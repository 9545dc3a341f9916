"""The words that the reader knows, by language."""
