"""The models that Marian writes, such as those of Firefox Translations."""
