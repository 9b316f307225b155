"""Real filesystems: without power from one moment on, without room, without leave to write.

The power: QEMU's storage daemon lies between a loop device and its image, and its driver
blklogwrites records all writes and flushes of the disk, in the format of the kernel's
dm-log-writes. A journalled ext4 with barriers, data=ordered, is on it, and the real program
works there; then what the disk held at each flush is mounted and looked at.
"""
