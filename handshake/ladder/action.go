package ladder

// The actions that totg coordinates (section 2 of docs/protocol.md). A Machine
// does not care which it is; whoever hands messages to Machines does.
const (
	ActionUp    uint8 = 1 // bring the tunnel up; no parameters
	ActionRekey uint8 = 2 // switch the key epoch; parameters: its number, u32
	ActionPath  uint8 = 3 // switch the path; parameters: the number of the switch, u64
	ActionClose uint8 = 4 // end the session; no parameters
	ActionNamed uint8 = 5 // a name that the user gives; parameters: the name
)
