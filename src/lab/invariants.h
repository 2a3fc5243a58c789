// What must always be true in a life that is explored (kdpc/explore.h): asked between steps, on the host context.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace kdpc::lab {

class Invariants {
 public:
  void add(std::string name, std::function<bool()> holds) { all_.push_back({std::move(name), std::move(holds)}); }
  void clear() { all_.clear(); }
  // The first that does not hold, as a sentence; empty: all hold.
  std::string broken() const;

 private:
  struct One {
    std::string name;
    std::function<bool()> holds;
  };
  std::vector<One> all_;
};

}  // namespace kdpc::lab
