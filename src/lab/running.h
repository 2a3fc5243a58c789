// While one of these exists, the machine runs: code may be inside it.
#pragma once

namespace kdpc::lab {

class Running {
 public:
  Running();
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  bool before_;
};

}  // namespace kdpc::lab
