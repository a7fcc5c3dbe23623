"""A variant's weights as the native code reads them."""
