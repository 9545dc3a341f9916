"""What other systems call SGD's options and schedules, and what they mean there."""
