//! The arguments of Python's `serve()` as settings: the options with underscores, and Python's values for theirs.

use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};

use super::options::{COMMANDS, options};
use crate::cli::{self, OptionSpec, Setting, ValueKind};
use crate::config::ConfigError;

/// Options that say which application is served.
const OF_COMMAND: [&str; 3] = ["app", "factory", "reload"];

/// Makes settings of keyword arguments. `None` is an argument that is not given.
///
/// # Errors
/// `TypeError` for a name that is no option, `ValueError` for a value that no option can have.
pub(super) fn settings(arguments: &Bound<'_, PyDict>) -> PyResult<Vec<Setting>> {
    let options = options();
    let mut settings = Vec::new();
    for (name, value) in arguments {
        let name: String = name.extract()?;
        let key = name.replace('_', "-");
        let Some(option) = cli::all(&options).find(|option| option.is_named(&key)) else {
            let near = cli::nearest(&key, cli::all(&options)).map(|near| near.replace('-', "_"));
            let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
            return Err(PyTypeError::new_err(format!("{name} is not an option{near}")));
        };
        if COMMANDS.contains(&option.name) || OF_COMMAND.contains(&option.name) {
            return Err(PyTypeError::new_err(format!("{name}: only the command line has it")));
        }
        if value.is_none() {
            continue;
        }
        let texts = texts(&option, &value)
            .map_err(|error| PyValueError::new_err(format!("{name}: {}", error.value(value.py()))))?;
        let setting = |value| Setting { option, value, place: Some(name.clone()) };
        settings.extend(texts.into_iter().map(setting));
    }
    Ok(settings)
}

/// The exception for an error of the configuration.
pub(super) fn exception(error: ConfigError) -> PyErr {
    match error {
        ConfigError::Start(line) => PyOSError::new_err(line),
        ConfigError::Usage(line) | ConfigError::File(line) => PyValueError::new_err(line),
    }
}

/// The values as the command line would have them.
fn texts(option: &OptionSpec, value: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    if option.kind() == ValueKind::Nothing {
        let is_on =
            value.cast::<PyBool>().map_err(|_| PyValueError::new_err("give True or False"))?.is_true();
        return Ok(if is_on { vec![String::new()] } else { Vec::new() });
    }
    if option.repeats {
        if let Ok(pairs) = value.cast::<PyDict>() {
            let pair = |(left, right): (Bound<'_, PyAny>, Bound<'_, PyAny>)| {
                Ok(format!("{}={}", text(option, &left)?, text(option, &right)?))
            };
            return pairs.iter().map(pair).collect();
        }
        if let (false, Ok(items)) = (value.is_instance_of::<PyString>(), value.try_iter()) {
            return items.map(|item| text(option, &item?)).collect();
        }
    }
    Ok(vec![text(option, value)?])
}

fn text(option: &OptionSpec, value: &Bound<'_, PyAny>) -> PyResult<String> {
    if value.is_instance_of::<PyBool>() {
        return Err(PyValueError::new_err("give a value, not True or False"));
    }
    if value.is_instance_of::<PyInt>() && option.kind() == ValueKind::Octal {
        return Ok(format!("{:o}", value.extract::<u32>()?));
    }
    if value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>() {
        return value.str()?.extract();
    }
    // Also takes a `pathlib.Path`.
    value.py().import("os")?.call_method1("fsdecode", (value,))?.extract()
}
