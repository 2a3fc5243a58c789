// Whoever runs the command loses patience: SIGINT and SIGTERM.
#pragma once

namespace kdpc::tool {

// From here on the first one is remembered, and what is under way is to end in order; a second one ends the process at once.
void heed_interrupts();
bool interrupted();

}  // namespace kdpc::tool
