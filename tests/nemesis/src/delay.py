#!/usr/bin/env python3
"""Holds frames back: netem's delay on kernels without netem.

Usage: delay.py TAP... Each TAP is a port of a bridge; the frames of a delayed host are redirected to it. What is read from it is
written back later, and so arrives at the bridge as if it came late. A line on standard input, `DELAY_MS JITTER_MS`, sets the
delay of frames read from then on; the answer is the number of frames since the line before.
"""

import fcntl
import heapq
import os
import random
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TAP_NO_PI = 0x0002 | 0x1000
FRAME_BYTES_MAX = 65536
# Frames on their way; more are dropped, as in any switch.
HELD_MAX = 20000
# Frames read from one port before the others get their turn.
BURST = 64


def attach(name: str) -> int:
    port = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(port, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP_NO_PI))
    return port


def main() -> None:
    ports = [attach(name) for name in sys.argv[1:]]
    poll = select.epoll()
    for port in ports:
        poll.register(port, select.EPOLLIN)
    poll.register(0, select.EPOLLIN)
    print("ready", flush=True)
    held: list[tuple[float, int, int, bytes]] = []
    delay, jitter, frames, number = 0.0, 0.0, 0, 0
    while True:
        wait = max(0.0, held[0][0] - time.monotonic()) if held else None
        for fd, _ in poll.poll(wait):
            if fd == 0:
                line = os.read(0, 4096).split()
                if not line:
                    return
                delay, jitter = float(line[0]) / 1000, float(line[1]) / 1000
                print(frames, flush=True)
                frames = 0
                continue
            for _ in range(BURST):
                try:
                    frame = os.read(fd, FRAME_BYTES_MAX)
                except BlockingIOError:
                    break
                if len(held) < HELD_MAX:
                    number += 1
                    frames += 1
                    when = time.monotonic() + delay + random.uniform(0, jitter)
                    heapq.heappush(held, (when, number, fd, frame))
        now = time.monotonic()
        while held and held[0][0] <= now:
            _, _, fd, frame = heapq.heappop(held)
            try:
                os.write(fd, frame)
            except OSError:
                pass  # the port is full or down: a frame lost


main()
