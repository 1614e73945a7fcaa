//! `argparse`: options with defaults, and a help text that lists them.

use std::fmt::{Display, Write as _};
use std::str::FromStr;

/// A type with a field for each option. [`options!`] writes it.
pub trait Options: Sized {
    /// What the program is.
    const ABOUT: &str;

    /// Takes its options from the words.
    fn take(words: &mut Words) -> Result<Self, String>;
}

/// Makes a type of options from `name: type = default`, each with its help.
macro_rules! options {
    (
        $(#[doc = $about:literal])+
        $visible:vis struct $Args:ident {
            $($(#[doc = $help:literal])+ $name:ident: $type:ty = $default:expr,)*
        }
    ) => {
        $(#[doc = $about])+
        $visible struct $Args {
            $($(#[doc = $help])+ $visible $name: $type,)*
        }

        impl $crate::seed::Options for $Args {
            const ABOUT: &str = concat!($($about),+);

            fn take(words: &mut $crate::seed::Words) -> Result<Self, String> {
                Ok(Self { $($name: words.option(stringify!($name), concat!($($help),+), $default)?,)* })
            }
        }
    };
}
pub(crate) use options;

/// The words of a command line that no option has taken yet, and what the help says so far.
#[derive(Default)]
pub struct Words {
    left: Vec<String>,
    help: String,
}

impl Words {
    /// The value after `--name`, or after a dash and the first letter of the name.
    pub fn option<T>(&mut self, name: &str, help: &str, default: impl Display) -> Result<T, String>
    where
        T: FromStr<Err: Display>,
    {
        // Writing to a string does not fail.
        let _ = writeln!(self.help, "  --{name:<10}{help} (default {default})");
        let (long, short) = (format!("--{name}"), format!("-{}", &name[..1]));
        let text = match self.left.iter().position(|word| *word == long || *word == short) {
            None => default.to_string(),
            Some(at) => {
                self.left.remove(at);
                if at == self.left.len() {
                    return Err(format!("{long} needs a value"));
                }
                self.left.remove(at)
            }
        };
        text.parse().map_err(|error| format!("{long} {text}: {error}"))
    }
}

/// The options that these words give.
pub fn parse<A: Options>(words: &[String]) -> Result<A, String> {
    let mut words = Words { left: words.to_vec(), ..Words::default() };
    let args = A::take(&mut words)?;
    words.left.first().map_or(Ok(args), |word| Err(format!("unknown word {word}")))
}

/// What `--help` prints.
pub fn help<A: Options>(program: &str) -> String {
    let mut words = Words::default();
    // The defaults are values, too.
    let _ = A::take(&mut words);
    format!("Usage: {program} [options]\n\n{}\n\nOptions:\n{}", A::ABOUT.trim_start(), words.help)
}
