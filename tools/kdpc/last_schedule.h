// The schedule that an exploring process is running, where it can be read when that process has died.
#pragma once
#include "check/explore/schedule.h"

namespace kdpc::tool {

// Made before the process is; both have it.
class LastSchedule {
 public:
  LastSchedule();
  ~LastSchedule();
  LastSchedule(const LastSchedule&) = delete;
  LastSchedule& operator=(const LastSchedule&) = delete;

  bool is_there() const { return file_ >= 0; }  // else the host gives no memory
  void show(const explore::Schedule& schedule) const;
  explore::Schedule read() const;  // the last one that was shown, whole; before that the default order

 private:
  int file_;  // in memory: how many deviations, and those
};

}  // namespace kdpc::tool
