"""Python loads this before Ironic when the folder is on its path: each password is hashed once.

Before every Redfish call Ironic derives a key from the BMC's password, always with the same arguments and
600,000 rounds (ironic: drivers/modules/redfish/utils.py, SessionCache). That is most of the processor time of
a test. The function is pure, so keeping its results changes nothing else.
"""

import functools
import hashlib

hashlib.pbkdf2_hmac = functools.lru_cache(maxsize=4096)(hashlib.pbkdf2_hmac)
