"""How long files take, here by LiteRT's own benchmark, and on phones by what is imported."""
