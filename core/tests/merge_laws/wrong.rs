//! Merges with a bug each, to see that the laws refuse them.
