//! What each output says of the same invented run, and that no foreign text gets the better of any.

mod hostile;
mod html;
mod judged;
mod story;
mod texts;
