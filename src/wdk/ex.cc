// What is left of the executive: exceptions without a handler, the calendar, and who asked.
#include <wdm.h>

#include "kernel/bugcheck.h"
#include "wdk/routine.h"

using namespace kdpc;

namespace {

constexpr LONGLONG kHundredsPerMillisecond = 10'000;
constexpr LONGLONG kHundredsPerDay = 86'400 * 1'000 * kHundredsPerMillisecond;
constexpr LONGLONG kDaysPer400Years = 146'097;
constexpr CSHORT kFirstYear = 1601, kLastYear = 30827;  // what 64 bits of 100 ns reach, and what NT accepts

// Years that begin in March end with their leap day. Days are counted from 1 March 1600.
struct Date {
  LONGLONG year;
  int month;  // 1…12
  int day;    // 1…31
};

Date date_of(LONGLONG days_since_1601) {
  const LONGLONG days = days_since_1601 + 306;  // from March to the New Year
  const LONGLONG era = days / kDaysPer400Years;
  const LONGLONG day_of_era = days % kDaysPer400Years;
  const LONGLONG year_of_era = (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const LONGLONG day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int march_month = static_cast<int>((5 * day_of_year + 2) / 153);
  const int month = march_month < 10 ? march_month + 3 : march_month - 9;
  return {1600 + era * 400 + year_of_era + (month <= 2 ? 1 : 0), month, static_cast<int>(day_of_year - (153 * march_month + 2) / 5 + 1)};
}

LONGLONG days_until(const Date& date) {
  const LONGLONG year = date.year - (date.month <= 2 ? 1 : 0) - 1600;
  const int march_month = date.month > 2 ? date.month - 3 : date.month + 9;
  const LONGLONG day_of_year = (153 * march_month + 2) / 5 + date.day - 1;
  return year / 400 * kDaysPer400Years + year % 400 * 365 + year % 400 / 4 - year % 400 / 100 + day_of_year - 306;
}

bool is_within(CSHORT value, int least, int most) { return value >= least && value <= most; }

// The features of every x64 processor on which Windows 10 runs, and no others: a driver sees the same processor in every run.
bool has_feature(ULONG feature) {
  switch (feature) {
    case PF_COMPARE_EXCHANGE_DOUBLE:
    case PF_MMX_INSTRUCTIONS_AVAILABLE:
    case PF_XMMI_INSTRUCTIONS_AVAILABLE:
    case PF_RDTSC_INSTRUCTION_AVAILABLE:
    case PF_PAE_ENABLED:
    case PF_XMMI64_INSTRUCTIONS_AVAILABLE:
    case PF_NX_ENABLED:
    case PF_COMPARE_EXCHANGE128: return true;
    default: return false;
  }
}

}  // namespace

extern "C" {

// Drivers are built without structured exception handling, so nobody can handle it.
VOID NTAPI ExRaiseStatus(NTSTATUS Status) {
  KDPC_ROUTINE(ExRaiseStatus);
  bug_check(stop::KmodeExceptionNotHandled, {static_cast<ULONG>(Status), as_parameter(__builtin_return_address(0)), 0, 0},
            "ExRaiseStatus raised an exception that nobody handles.", "WAIT-4");
}

KPROCESSOR_MODE NTAPI ExGetPreviousMode() {
  KDPC_ROUTINE(ExGetPreviousMode);
  return KernelMode;  // there is no user mode to come from
}

BOOLEAN NTAPI ExIsProcessorFeaturePresent(ULONG ProcessorFeature) {
  KDPC_ROUTINE(ExIsProcessorFeaturePresent);
  return has_feature(ProcessorFeature);
}

// The machine stands in Greenwich.
VOID NTAPI ExSystemTimeToLocalTime(PLARGE_INTEGER SystemTime, PLARGE_INTEGER LocalTime) {
  KDPC_ROUTINE(ExSystemTimeToLocalTime);
  *LocalTime = *SystemTime;
}

VOID NTAPI ExLocalTimeToSystemTime(PLARGE_INTEGER LocalTime, PLARGE_INTEGER SystemTime) {
  KDPC_ROUTINE(ExLocalTimeToSystemTime);
  *SystemTime = *LocalTime;
}

VOID NTAPI RtlTimeToTimeFields(PLARGE_INTEGER Time, PTIME_FIELDS TimeFields) {
  KDPC_ROUTINE(RtlTimeToTimeFields);
  const LONGLONG days = Time->QuadPart / kHundredsPerDay;
  const LONGLONG milliseconds = Time->QuadPart % kHundredsPerDay / kHundredsPerMillisecond;
  const Date date = date_of(days);
  TimeFields->Year = static_cast<CSHORT>(date.year);
  TimeFields->Month = static_cast<CSHORT>(date.month);
  TimeFields->Day = static_cast<CSHORT>(date.day);
  TimeFields->Hour = static_cast<CSHORT>(milliseconds / 3'600'000);
  TimeFields->Minute = static_cast<CSHORT>(milliseconds / 60'000 % 60);
  TimeFields->Second = static_cast<CSHORT>(milliseconds / 1'000 % 60);
  TimeFields->Milliseconds = static_cast<CSHORT>(milliseconds % 1'000);
  TimeFields->Weekday = static_cast<CSHORT>((days + 1) % 7);  // 1 January 1601 was a Monday
}

BOOLEAN NTAPI RtlTimeFieldsToTime(PTIME_FIELDS TimeFields, PLARGE_INTEGER Time) {
  KDPC_ROUTINE(RtlTimeFieldsToTime);
  const TIME_FIELDS& fields = *TimeFields;
  if (!is_within(fields.Year, kFirstYear, kLastYear) || !is_within(fields.Month, 1, 12) || !is_within(fields.Day, 1, 31) ||
      !is_within(fields.Hour, 0, 23) || !is_within(fields.Minute, 0, 59) || !is_within(fields.Second, 0, 59) ||
      !is_within(fields.Milliseconds, 0, 999))
    return FALSE;
  const LONGLONG days = days_until({fields.Year, fields.Month, fields.Day});
  if (date_of(days).day != fields.Day) return FALSE;  // the month is shorter
  const LONGLONG milliseconds = ((fields.Hour * 60LL + fields.Minute) * 60 + fields.Second) * 1'000 + fields.Milliseconds;
  Time->QuadPart = days * kHundredsPerDay + milliseconds * kHundredsPerMillisecond;
  return TRUE;
}

}  // extern "C"
