"""Cases of scripts/fleetkit/sizing.py: python3 tests/fleet/test_sizing.py"""

import argparse
import contextlib
import io
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))

from fleetkit.sizing import (  # noqa: E402
    EXAMPLE, KIB, MIB, Load, Machine, between, costs, figure, hosts, main, parts, positive, size)

# Whole numbers: half of 10 cores is 5, seven tenths of 10 Gbit/s are 7, half of 8 GiB is 4.
HOST = Machine(cores=10, nic=10, memory=8, descriptors=21_064)


class Hosts(unittest.TestCase):
    def test_each_resource_by_hand(self):
        # 1,000,000 x 10 µs are 10 cores; 1,000,000 x 1,148 B are 9.184 Gbit/s, and 9.755 with frames; 100,000 x 4,096 B are
        # 0.381 GiB; 10 workers have room for 10,000 x 0.8 connections each.
        need = hosts(Load(1_000_000, 848, 100_000), HOST, micros=10, each=4096)["need"]
        self.assertAlmostEqual(need["CPU"], 10 / 5)
        self.assertAlmostEqual(need["network"], 9.184 * 1538 / 1448 / 7)
        self.assertAlmostEqual(need["memory"], 409_600_000 / 2**32)
        self.assertAlmostEqual(need["descriptors"], 100_000 / 80_000)

    def test_hosts_are_whole_and_one_may_be_lost_beside_a_restart(self):
        found = hosts(Load(1_000_001, 1, 1), HOST, micros=10, each=1)
        self.assertEqual((found["first"], found["least"], found["away"], found["all"]), ("CPU", 3, 1, 5))
        self.assertEqual(hosts(Load(1, 1, 1), HOST, micros=10, each=1)["all"], 3)

    def test_of_a_large_fleet_two_in_a_hundred_may_be_lost(self):
        found = hosts(Load(50_000_000, 1, 1), HOST, micros=10, each=1)
        self.assertEqual((found["least"], found["away"], found["all"]), (100, 2, 104))

    def test_the_first_limit(self):
        for load, first in ((Load(1e6, 1, 1), "CPU"), (Load(1e4, MIB, 1), "network"), (Load(1, 1, 1e6), "descriptors")):
            self.assertEqual(hosts(load, HOST, micros=10, each=1)["first"], first)
        self.assertEqual(hosts(Load(1, 1, 1e6), HOST, micros=10, each=100 * KIB)["first"], "memory")


class Figures(unittest.TestCase):
    def test_between_two_sizes(self):
        points = [(100, 10.0), (10, 1.0)]
        self.assertEqual([between(points, one) for one in (1, 10, 55, 100, 200)], [1.0, 1.0, 5.5, 10.0, 20.0])

    def test_rows_of_the_page(self):
        small = figure("scripts/bench", "1 KiB, 64 connections")
        self.assertTrue(0 < small < figure("scripts/bench", "100 KiB, 64 connections"))
        self.assertEqual(costs(Load(1, KIB, 1))[0][1], small)
        self.assertGreater(costs(Load(1, KIB, 1, tls=True))[0][1], small)
        fresh = costs(Load(1, KIB, 1, new=1))[-1][1]
        self.assertAlmostEqual(fresh, figure("scripts/bench", "1 KiB, a new connection each") - small)

    def test_the_example_is_what_the_command_prints(self):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            main(EXAMPLE.split())
        self.assertIn(printed.getvalue(), parts()["scripts/fleet size, an example"])

    def test_numbers_of_the_command_line(self):
        self.assertEqual((positive("2.5K"), size("2K"), positive("7")), (2_500, 2_048, 7))
        for text in ("0", "-1", "x", "nan", "1e9", ""):
            with self.assertRaises(argparse.ArgumentTypeError):
                positive(text)


if __name__ == "__main__":
    unittest.main()
