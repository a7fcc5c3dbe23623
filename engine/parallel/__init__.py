"""Several devices for one variant: groups of ranks side by side, a model or a text in parts."""
