// The debugger's views: what WinDbg's extensions of the same names show, in their shapes (SEMANTICS 11, 15.4), of a World. Columns that WinDbg does not
// have stand behind its own.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "view/world.h"

namespace kdpc::view {

// What was asked of a view.
struct Request {
  std::optional<unsigned> processor;  // none: all of them
  bool all = false;                   // -a
  bool idle = false;                  // -i
  bool stacks = false;                // -t
  bool verbose = false;               // -v

  bool wants(unsigned number) const { return !processor || *processor == number; }
};

std::string dpcs(const World& world, const Request& request);
std::string irql(const World& world, const Request& request);
std::string ipi(const World& world, const Request& request);
std::string timer(const World& world, const Request& request);
std::string pcr(const World& world, const Request& request);
std::string prcb(const World& world, const Request& request);
std::string running(const World& world, const Request& request);
std::string idt(const World& world, const Request& request);
std::string qlocks(const World& world, const Request& request);
std::string analyze(const World& world, const Request& request);

// "dpcs", "!dpcs 1", "running -i": text that ends with a newline. The Error says which views there are, or what this one takes.
Result<std::string> show(const World& world, std::string_view line);
// The same, before there is a World.
Result<void> check(std::string_view line);
bool is_view(std::string_view word);  // with or without its exclamation mark
std::vector<std::string> names();
std::string help();  // a line for each

inline constexpr std::string_view kNoProcessor = "Cannot get PRCB address\n";  // WinDbg's words

// "DISPATCH_LEVEL". WinDbg calls 0 LOW_LEVEL.
std::string_view name_of_level(unsigned level);
std::string_view description_of_level(unsigned level);

// A list that was not walked to its end, or whose links do not agree, in a sentence; empty: all is well.
std::string trouble(const Walk& walk, std::string_view what);

}  // namespace kdpc::view
