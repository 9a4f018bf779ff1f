"""How large a published record may be, in bytes."""

MAX_RECORD = 16_000_000
MAX_FILE = 50_000_000
MAX_FOLDER = 100_000_000
