"""How answers of the API look at the terminal: a module for each noun, over one look of tables."""
