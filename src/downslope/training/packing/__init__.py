"""A trained model with its preprocessing and the names of its classes as one file that needs no Downslope."""
