"""What a network learns and how it is judged: the seam behind which classification is one task among others."""
