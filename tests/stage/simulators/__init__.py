"""Tools of systems that aren't here, as programs: each takes what its manual page says, refuses what the real one does.

The rule they keep: no mercy. What the real tool would take in a sense that nobody meant, they take so, too.
"""
