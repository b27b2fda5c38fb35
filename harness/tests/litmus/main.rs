//! Small programs whose number of trace classes is known: the exploration makes exactly so many executions, in whatever order the
//! processes are given, and none is redundant.

mod check;
mod files;
mod locks;
mod memory;
