"""What a file or an answer from outside may cost, in one place. Each is far above what data sets, weights and runs need.

Sizes of what comes out of a file are limited by the file's own size, so that no limit stands in the way of a large data
set: a file that somebody has sent becomes so much, and no more.
"""

MIB, GIB = 1 << 20, 1 << 30

NAME_BYTES = 255  # of a file or a folder: NAME_MAX of Linux; ext4, XFS and NTFS

# JSON: files of a run, indexes of data sets, answers of services
JSON_BYTES = 64 * MIB
JSON_VALUES = 4_000_000  # about 70 bytes of memory each
JSON_LINE_BYTES = MIB  # of metrics and manifests, whose lines have some hundred bytes
JSON_LINES_VALUES = 40_000_000  # of a file of lines, which are kept in memory one after another

# YAML: recipes, job files, the configuration of a run; 10 KB, as MindLift writes them
YAML_BYTES = 256 << 10
YAML_NODES = 20_000  # an alias counts as all that it stands for
YAML_DEPTH = 32

# Archives of data sets
UNPACKED_RATIO = 200  # bytes for each byte of the archive; text and masks get to 50, a photo to 1
UNPACKED_FLOOR = GIB  # that much is unpacked of any archive
BYTES_PER_MEMBER = 16  # of the archive, for each file or folder; a TAR takes 512, an empty file in a ZIP 100
MEMBERS_FLOOR = 10_000
MEMBERS = 20_000_000
MEMBER_NAMES_BYTES = 512 * MIB  # of all paths together; ImageNet's have 60
MEMBER_DEPTH = 64  # folders within folders
MEMBER_PATH_BYTES = 1024  # the longest key of S3 (S3 API, "Object key names"); Linux has 4,096
EXTENDED_HEADER_BYTES = (
    MIB  # long names and PAX records of one member of a TAR, and those for all members together
)

# Weights
WEIGHTS_FILE_BYTES = 16 * GIB  # of one that is fetched by name; BiT-M-R152x4 has 4
WEIGHTS_RATIO = 8  # bytes of tensors for each byte of the file: bfloat16 doubles, tied weights repeat
WEIGHTS_COMPRESSED_RATIO = 100  # of a .npz, whose arrays may be of zeros
WEIGHTS_FLOOR = 64 * MIB
PICKLE_BYTES = 64 * MIB  # the structure of a file of PyTorch's, without its numbers
PICKLE_INSTRUCTIONS = 3_000_000  # 40 for each tensor
SAFETENSORS_HEADER_BYTES = 16 * MIB
WRAPPED_DEPTH = 4  # dicts around the tensors

# MindRecord
MINDRECORD_HEADER_BYTES = 64 * MIB  # the schema and an entry for each page of 16 MiB
SQLITE_STEPS_PER_BYTE = (
    100  # instructions of SQLite's machine for each byte of an index; a row of 40 bytes takes 30
)
SQLITE_STEPS_FLOOR = 10_000_000

# Answers of stores and services
ANSWER_BYTES = 16 * MIB  # a page of a listing with 1,000 keys of 1,024 bytes, each byte escaped, has 7
HEAD_BYTES = (
    64 << 10
)  # status line and headers of one answer; S3's have 1 KiB, and 2 KiB of a user's metadata
KEY_BYTES = 1024  # S3 API, "Object key names"
LISTED_KEYS = 100_000_000
LEAST_RATE = 1024  # bytes per second, over
LEAST_RATE_TIME_S = 30.0
