"""Anaemia from photographs of the inner eyelid: honest, fast and unlosable fine-tuning of a ResNet."""

__version__ = "0.1.0"
