"""How anything is kept on disk: files that appear whole, finished work, locked folders, typed JSON."""
