"""Pages that open offline: what they share, and the page of an explanation. The report of runs is training's."""
