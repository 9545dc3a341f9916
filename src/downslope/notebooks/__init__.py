"""How readings, explanations, comparisons, audits, studies and runs show themselves in a notebook."""
