"""The sections of device_check.py, and what they share."""
