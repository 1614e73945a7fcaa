//! What lines say of recordings from outside, whose hooks are system calls.

/// The most clients that a line names.
const NAMED: usize = 4;

/// The turn of a thread that blocks: it serves one client. `call` has `waited` for it, and returned `connections`.
pub(super) fn accepted(number: u64, call: &str, waited: &str, connections: u32) -> String {
    match (call, connections) {
        ("start", _) => format!("turn {number}  another thread gives it a connection"),
        (_, 0) => format!("turn {number}  {call} waited {waited}, for no connection"),
        _ => format!("turn {number}  {call} waited {waited}"),
    }
}

/// Who waited to be accepted during a call.
pub(super) fn behind(clients: &[&str]) -> Option<String> {
    let (named, rest) = clients.split_at(clients.len().min(NAMED));
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    (!named.is_empty()).then(|| format!("meanwhile {}{more} waited in the accept queue", named.join(" and ")))
}

/// Adds the length of a queue. Of several in a row, the longest is told.
pub(super) fn push_longer(facts: &mut Vec<String>, text: String) {
    let length = |text: &str| {
        let number = text.strip_suffix(" wait to be accepted")?.split(' ').next()?;
        number.parse::<u64>().ok()
    };
    match facts.last_mut().map(|last| (length(last), last)) {
        Some((Some(before), last)) => {
            if length(&text).is_some_and(|now| now > before) {
                *last = text;
            }
        }
        _ => facts.push(text),
    }
}
