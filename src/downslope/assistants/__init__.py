"""What `downslope mcp` offers coding assistants: the commands about text as tools, whose answers are data."""
