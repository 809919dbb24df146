"""What a line comes to, and why: the plain walk down the rules, told step by step, and cases that hold rules to it."""
