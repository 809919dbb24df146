"""The agent's record: what it took, what is in force and who holds it, what is still to be said."""
