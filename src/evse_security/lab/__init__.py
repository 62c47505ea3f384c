"""A throw-away public-key infrastructure to try things with: authorities, OCSP responders, makers of signed firmware.

Never part of a station's trust: `evse-security pki`, `evse-security demo` and the tests play the other side with it.
"""
