"""How fast this processor runs models: measured on the spot with reference models of few sizes."""
