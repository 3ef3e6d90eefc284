"""How the program speaks: numbers, sizes, times, tables, progress, and the line that it ends with."""
