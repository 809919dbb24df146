"""Whole logs through the rules, by their own time: no broker, no ledger, no clock."""
