"""Small programs of the images: probes, and what looks after a model repository.

They need nothing but Python, `model_store` apart (obstore), and import nothing else of ours, so
that each fits into every image.  `deploy/images/bin` has a command for each.
"""
