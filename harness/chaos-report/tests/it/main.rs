//! What each output says of the same invented run, and that no foreign text gets the better of any.

mod ci;
mod contrast;
mod dom;
mod hostile;
mod html;
mod judged;
mod load;
mod outcomes;
mod story;
mod texts;
