// Package migrate moves CIMI Systems between clouds and proves that nothing
// was lost on the way.
//
// NewPlan says what would be done and refuses what cannot be; Start does it as
// a saga of steps (discover, plan, quiesce, export, transfer, import, verify,
// start, finish), each written to the journal before it is taken and after it
// is done, with how to undo it; Resume goes on after an interruption or the
// death of the process, Rollback undoes, and the Report lists the content
// digest of every disk on both sides.
//
// Promises:
//   - The source is never changed before the destination is verified, except
//     that running machines are stopped, and started again on failure.
//   - There is never more than one System of a run at the destination.
//   - A run whose source changed is refused, never spliced.
//   - No secret is in the journal, in a plan or in a report.
//   - Memory does not grow with the size of disks or packages.
//
// Clouds are known only as cimi.Provider (DSP0263): import pulls from a source
// URI, so the engine serves the package from a one-time URL (package relay),
// or hands it over in process to a PackageImporter.
package migrate
