// Package evacuate carries out runbooks: many Systems, in waves, within
// windows of time and the limits of each cloud, over a night.
//
// Promises:
//   - A System moves once: what is verified is left alone however often the
//     runbook is run, and no two processes work on one System.
//   - The death of the process loses nothing: the same command goes on.
//   - A failed System never stops another, unless the runbook says so; each
//     failure is recorded with its cause and what to do about it.
//   - No System is cut over outside the runbook's windows: what is under way
//     when a window closes is interrupted and its source started again, unless
//     the window says that it may finish.
//
// The truth stands in the journal's tables of batches and items. What to do
// next is a decision of its own (schedule), made on a count of changes and
// recorded only if nothing has changed since, so any number of processes can
// make it.
package evacuate
