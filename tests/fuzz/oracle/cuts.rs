//! Cuts of an input in pieces, and the numbers that choose them.

/// The number of cuts in two that are tried of an input longer than [`SHORT`]; of a shorter one, all are.
const CUTS: usize = 4;
const SHORT: usize = 48;

/// Passes the input to `check` in pieces: byte by byte, and cut in two at several positions.
pub(crate) fn each_cut(data: &[u8], mut check: impl FnMut(&mut dyn Iterator<Item = &[u8]>)) {
    check(&mut data.chunks(1));
    let mut cut_at = |at: usize| {
        let (first, second) = data.split_at(at);
        check(&mut [first, second].into_iter());
    };
    if data.len() <= SHORT {
        (1..data.len()).for_each(cut_at);
    } else {
        Noise::of(data).take(CUTS).for_each(|noise| cut_at(noise % data.len()));
    }
}

/// Pseudo-random numbers that depend on the input only, so that a finding is reproducible.
#[derive(Debug)]
pub(crate) struct Noise(u64);

impl Noise {
    /// FNV-1a of the input.
    pub(crate) fn of(data: &[u8]) -> Self {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(data.iter().fold(0xcbf2_9ce4_8422_2325, step))
    }
}

impl Iterator for Noise {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The low bits of a linear congruential generator are poor.
        usize::try_from(self.0 >> 33).ok()
    }
}
