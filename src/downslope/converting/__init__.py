"""Between frameworks: how each writes the rule, and state and arguments carried from one to another.

Knows no framework: names, numbers and NumPy arrays only. Reading files that need a framework is the command line's.
"""
