#!/usr/bin/perl
# Starts processes for the worker, one at a time per slot, and tells how each one ended.
#
# Why a process of its own: forking a large, threaded Node process costs milliseconds, forking this small one costs a
# tenth of that; wait4 gives exact figures per process; and the death of the worker, even by SIGKILL, is seen here as
# the end of standard input, upon which everything that was started is killed.
#
# States of a launch: queued (its slot is busy) -> running -> ending (the process is reaped, but what it left behind is
# still being killed; 2 s at most) -> told. Each `S` frame gets exactly one `X` frame.
#
# Where processes come from: a few children of ours wait, as copies of this process, each for one request (a "spare"). They
# are made several at a time, for a copy of this process makes each page that we write afterwards be copied once, and that
# would be most of what a launch costs. A request carries all that its process needs, as it has to lie in memory: arrays of
# pointers and the strings, for the address of a buffer that every copy has at the same place. What is too long for the
# buffer, or has a log pipe that the spares do not know yet, gets a copy of its own.
#
# What keeps descendants in reach: this process is a "subreaper", so a descendant whose parent died becomes a child of
# ours. A child that is no running launch is a stray. It is killed as soon as its own launch is over; it is known by its
# session, else by HEADROOM_JOB in its environment, else it is killed when every launch that ran when it was first seen
# has ended.
#
# Frames, both ways: length of the rest (u32, big endian), one letter, then:
#   in   E  env id u32, "NAME=value" joined by NUL
#        S  id u32, slot u16, env id u32, log bytes u32, then joined by NUL: folder, file for standard output or "", argv
#        K  id u32, signal u8 (a queued launch is dropped, if the signal ends)
#        P  (asks for an answer)
#   out  B  id u32, pid u32, started at u64 (microseconds, CLOCK_MONOTONIC); again if it has to be started again
#        X  id u32, pid u32, kind u8 (see below), code u32, stage u8, strays u32, started u64, ended u64, peak KiB u64,
#           user u64, system u64, log length in all u64, length of the head u32, head and tail of the log
#        P  (the answer)
# Arguments: system call table (x64 | arm64), token, scratch folder, nice, oom_score_adj.
use strict;
use warnings;

use constant { EXITED => 0, SIGNALLED => 1, NOT_STARTED => 2, DROPPED => 3 };
use constant { STAGE_FORK => 1, STAGE_FOLDER => 2, STAGE_OUTPUT => 3, STAGE_EXEC => 4, STAGE_SETUP => 5 };
use constant { SIGKILL => 9, SIGTERM => 15, SIGCHLD => 17, WNOHANG => 1, WEXITED => 4, WNOWAIT => 0x01000000 };
use constant { O_NONBLOCK => 04000, O_CLOEXEC => 02000000 };
use constant { AT_FDCWD => -100, OUTPUT_FLAGS => 01 | 0100 | 0200 | 02000000 };
use constant { EINTR => 4, EAGAIN => 11, F_SETFL => 4 };
use constant { PR_SET_PDEATHSIG => 1, PR_SET_CHILD_SUBREAPER => 36, RLIMIT_CORE => 4 };
use constant { SPARES => 8, REQUEST_BYTES => 16384, REQUEST_HEAD => 7 };
use constant { READ_BYTES => 65536, ENDING_MICROS => 2_000_000, LAST_KILL_MICROS => 10_000_000 };

my ($arch, $token, $scratch, $nice, $oom_score_adj) = @ARGV;
my %tables = (
  x64 => {
    read => 0, rt_sigprocmask => 14, openat => 257, chdir => 80, dup3 => 292, execve => 59, clone => 56, wait4 => 61, setsid => 112, getppid => 110,
    prctl => 157, clock_gettime => 228, exit_group => 231, waitid => 247, signalfd4 => 289, prlimit64 => 302,
  },
  arm64 => {
    read => 63, rt_sigprocmask => 135, openat => 56, chdir => 49, dup3 => 24, execve => 221, clone => 220, wait4 => 260, setsid => 157, getppid => 173,
    prctl => 167, clock_gettime => 113, exit_group => 94, waitid => 95, signalfd4 => 74, prlimit64 => 261,
  },
);
die "launcher: expected arguments ARCH TOKEN SCRATCH NICE OOM_SCORE_ADJ\n" unless @ARGV == 5;
my $nr = $tables{$arch} or die "launcher: expected x64 or arm64, found $arch\n";
die "launcher: expected a perl with 64-bit integers\n" unless length(pack 'J', 0) == 8;
my ($openat, $chdir, $read) = @{$nr}{qw(openat chdir read)};
my ($rt_sigprocmask, $dup3, $execve, $clone, $wait4, $setsid, $getppid) =
  @{$nr}{qw(rt_sigprocmask dup3 execve clone wait4 setsid getppid)};
my ($prctl, $clock_gettime, $exit_group, $waitid) = @{$nr}{qw(prctl clock_gettime exit_group waitid)};

my $self = $$;
my $no_signals = "\0" x 8;
# running, ending: pid => launch; seen: stray => newest launch then; failed: pid => stage and errno
my (%envs, %launches, %running, %ending, %seen, %killed_for, %failed);
# spares: children that wait for a request, oldest first, and the same by pid; pipes: those that no child reads from
my (@spares, %spare, @pipes);
my $launched = 0;
my @slots;
my $slots_made = 0;
# Never assigned to again: every copy of this process has it at this address.
my $request    = "\0" x REQUEST_BYTES;
my $request_at = unpack 'J', pack 'P', $request;
my ($out, $in, $last_id) = ('', '', 0);

# A handler rather than IGNORE: an ignored signal would stay ignored in every process that we start.
$SIG{PIPE} = sub { };
binmode STDIN;
binmode STDOUT;
syscall($prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 or die "launcher: no subreaper: $!\n";
# Inherited by everything that we start, so that it costs nothing per process. Ours is the smallest process of them all,
# so the kernel takes a job first when memory runs out.
if (open my $score, '>', '/proc/self/oom_score_adj') { syswrite $score, $oom_score_adj; close $score }
setpriority 0, 0, $nice if $nice;
# A crashing binary must not leave core files in the scratch folder.
my $no_core = pack 'QQ', 0, 0;
syscall $nr->{prlimit64}, 0, RLIMIT_CORE, $no_core, 0;
# SIGCHLD is blocked and read through a descriptor, so that none comes between looking and waiting.
my $chld_mask = pack 'Q', 1 << (SIGCHLD - 1);
syscall($rt_sigprocmask, 0, $chld_mask, 0, 8) == 0 or die "launcher: cannot block SIGCHLD: $!\n";
my $signal_fd = syscall($nr->{signalfd4}, -1, $chld_mask, 8, O_NONBLOCK | O_CLOEXEC);
$signal_fd >= 0 or die "launcher: no signalfd: $!\n";
open my $signals, '<&=', $signal_fd or die "launcher: cannot read signals: $!\n";
open my $null, '<', '/dev/null' or die "launcher: cannot open /dev/null: $!\n";
# Children that fail before or in execve say so here (pid, stage, errno: one write); it closes by itself on success.
pipe my $failures, my $failure_end or die "launcher: no pipe: $!\n";
fcntl $failures, F_SETFL, O_NONBLOCK;
my $failure_fd = fileno $failure_end;
my $null_fd    = fileno $null;
# Undefined on a kernel without CONFIG_PROC_CHILDREN; then all of /proc is read.
my $children;
open $children, '<', "/proc/self/task/$self/children" or undef $children;

my $clock = "\0" x 16;

sub micros {
  syscall $clock_gettime, 1, $clock;
  my ($seconds, $nanos) = unpack 'qq', $clock;
  return $seconds * 1_000_000 + int $nanos / 1000;
}

sub tell_frame {
  my ($body) = @_;
  $out .= pack('N', length $body) . $body;
  return;
}

sub flush_out {
  while (length $out) {
    my $wrote = syswrite STDOUT, $out;
    if (defined $wrote) { substr $out, 0, $wrote, ''; next }
    die_with_all() if $! != EINTR && $! != EAGAIN;
  }
  return;
}

# The slot's log pipe lives as long as the launcher: no pipe is made per process.
sub slot_of {
  my ($number) = @_;
  return $slots[$number] //= do {
    pipe my $read, my $write or die "launcher: no pipe: $!\n";
    fcntl $read, F_SETFL, O_NONBLOCK;
    { since => ++$slots_made, read => $read, write => $write, fd => fileno $write, queue => [], busy => 0 };
  };
}

# In a copy of this process: turns it into the program. Texts are given as strings or as addresses.
sub become {
  my ($folder, $has_output, $output, $log_fd, $path, $args, $env) = @_;
  syscall $rt_sigprocmask, 2, $no_signals, 0, 8;
  fail(STAGE_FOLDER) if syscall($chdir, $folder) != 0;
  my $output_fd = $log_fd;
  if ($has_output) {
    $output_fd = syscall $openat, AT_FDCWD, $output, OUTPUT_FLAGS, 0666;
    fail(STAGE_OUTPUT) if $output_fd < 0;
  }
  fail(STAGE_SETUP)
    if syscall($dup3, $null_fd, 0, 0) < 0 || syscall($dup3, $output_fd, 1, 0) < 0 || syscall($dup3, $log_fd, 2, 0) < 0;
  syscall $execve, $path, $args, $env;
  fail(STAGE_EXEC);
  return;
}

sub fail {
  syswrite $failure_end, pack 'NCN', $$, $_[0], $! + 0;
  syscall $exit_group, 127;
  return;
}

# A copy begins a session of its own, and dies with us.
sub leave_home {
  syscall $setsid;
  syscall $prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0;
  syscall $exit_group, 127 if syscall($getppid) != $self;    # the launcher died before the line above
  return;
}

# In a spare: waits for the request, and becomes what it says. The length is read alone: a spare that was killed while it
# waited may still take what its read finds then, but no more, and what is left says that it started nothing.
sub serve {
  my ($fd) = @_;
  leave_home();
  my $got = syscall $read, $fd, $request_at, 8;
  while ($got < 8 || $got < unpack 'J', $request) {
    my $more = syscall $read, $fd, $request_at + $got, REQUEST_BYTES - $got;
    syscall $exit_group, 127 if $more <= 0 && $! != EINTR;
    $got += $more if $more > 0;
  }
  become(unpack 'x8 J7', $request);
  return;
}

# Makes spares, once the last one is used: where nothing is launched, nothing waits. Little is written between the copies.
# Not Perl's fork: it costs a tenth more, and nothing of the C library is used before execve. What is inherited (nice,
# oom_score_adj) was set once for the launcher itself.
sub make_spares {
  $launched = 0;
  push @pipes, new_pipe() // return while @pipes < SPARES;
  my @chosen = splice @pipes, 0, SPARES;
  my @made   = (0) x SPARES;
  my $at     = 0;
  while ($at < SPARES) {
    serve($chosen[$at]{fd}) if ($made[$at] = syscall $clone, SIGCHLD, 0, 0, 0, 0) == 0;
    ++$at;
  }
  for my $pid (@made) {
    my $pipe = shift @chosen;
    if ($pid < 0) { push @pipes, $pipe }
    else          { push @spares, $spare{$pid} = { pid => $pid, pipe => $pipe, knows => $slots_made } }
  }
  return;
}

sub new_pipe {
  pipe my $from, my $to or return undef;
  return { from => $from, to => $to, fd => fileno $from };
}

# What `become` needs, as it lies in the buffer of a spare: length, seven words, both arrays of pointers, the strings.
sub request_of {
  my ($launch, $log_fd) = @_;
  my ($folder, $output, $argv) = @{$launch}{qw(folder output argv)};
  my @strings  = ($folder, $output, @$argv, @{ $launch->{env} }, $launch->{mark});
  my $args_at  = $request_at + 8 + REQUEST_HEAD * 8;
  my $env_at   = $args_at + 8 * (@$argv + 1);
  my $at       = $env_at + 8 * (@strings - 2 - @$argv + 1);
  my @pointers = map { my $here = $at; $at += 1 + length; $here } @strings;
  my ($folder_at, $output_at, @others) = @pointers;
  my @args  = splice @others, 0, scalar @$argv;
  my @words = ($folder_at, $output ne '' ? 1 : 0, $output_at, $log_fd, $args[0], $args_at, $env_at);
  return pack('J*', $at - $request_at, @words, @args, 0, @others, 0) . join "\0", @strings, '';
}

# Hands the launch to a spare. Returns its number, or undef when no spare can take it.
sub hand_to_spare {
  my ($launch) = @_;
  my $slot = $launch->{slot};
  make_spares() if $launched && !@spares;
  return undef if !@spares || $spares[0]{knows} < $slot->{since};
  my $text = request_of($launch, $slot->{fd});
  return undef if length $text > REQUEST_BYTES;
  my $chosen = shift @spares;
  delete $spare{ $chosen->{pid} };
  $launch->{pipe} = $chosen->{pipe};
  syswrite $chosen->{pipe}{to}, $text;
  return $chosen->{pid};
}

# A copy for this launch alone. Everything that it needs is made before: each page that it writes is copied.
sub copy_for {
  my ($launch) = @_;
  my ($folder, $output, $log_fd) = ($launch->{folder}, $launch->{output}, $launch->{slot}{fd});
  my $has_output = $output ne '';
  my @env        = (@{ $launch->{env} }, $launch->{mark});
  my $path       = $launch->{argv}[0];
  my $args       = pack('p*', @{ $launch->{argv} }) . pack('J', 0);
  my $env        = pack('p*', @env) . pack('J', 0);
  my $pid        = syscall $clone, SIGCHLD, 0, 0, 0, 0;
  return $pid if $pid != 0;
  leave_home();
  become($folder, $has_output, $output, $log_fd, $path, $args, $env);
}

sub start {
  my ($launch) = @_;
  my $slot = $launch->{slot};
  $slot->{busy} = 1;
  # A process may have set O_NONBLOCK on the pipe it shared with those after it.
  fcntl $slot->{write}, F_SETFL, 0;
  $launch->{mark}    = "HEADROOM_JOB=$token.$launch->{id}.";
  $launch->{started} = micros();
  my $pid = hand_to_spare($launch) // copy_for($launch);
  if ($pid < 0) {
    @{$launch}{qw(kind code stage pid)} = (NOT_STARTED, $! + 0, STAGE_FORK, 0);
    return tell_end($launch);
  }
  $launched = 1;
  $launch->{pid} = $pid;
  $running{$pid} = $launch;
  tell_frame(pack 'aNNQ>', 'B', $launch->{id}, $pid, $launch->{started});
  return;
}

sub tell_end {
  my ($launch) = @_;
  $launch->{ended} //= micros();
  drain($launch->{slot}, $launch, 64) if $launch->{pid};
  my $usage = $launch->{usage} // [0, 0, 0];
  my $log   = $launch->{head} . $launch->{tail};
  tell_frame(
    pack('aNNCNCNQ>Q>Q>Q>Q>Q>N', 'X', $launch->{id}, $launch->{pid} // 0, $launch->{kind}, $launch->{code},
      $launch->{stage}, $launch->{strays}, $launch->{started} // 0, $launch->{ended}, @$usage, $launch->{log_total},
      length $launch->{head})
      . $log
  );
  delete $launches{ $launch->{id} };
  return if $launch->{kind} == DROPPED;
  my $slot = $launch->{slot};
  $slot->{busy} = 0;
  my $next = shift @{ $slot->{queue} };
  start($next) if $next;
  return;
}

# Reads what the slot's process wrote, up to so many times; a process that never stops writing must not keep us here.
sub drain {
  my ($slot, $launch, $times) = @_;
  while ($times-- > 0) {
    sysread $slot->{read}, my $bytes, READ_BYTES or last;
    keep($launch, $bytes);
  }
  return;
}

# Keeps the head and the tail, counts the rest.
sub keep {
  my ($launch, $bytes) = @_;
  my $half = $launch->{log_half};
  $launch->{log_total} += length $bytes;
  my $room = $half - length $launch->{head};
  $launch->{head} .= substr $bytes, 0, $room, '' if $room > 0;
  return if $half == 0 || $bytes eq '';
  $launch->{tail} .= $bytes;
  substr $launch->{tail}, 0, length($launch->{tail}) - $half, '' if length $launch->{tail} > $half;
  return;
}

my $siginfo = "\0" x 128;
my $status  = "\0" x 4;
my $rusage  = "\0" x 144;

# Reaps all that ended. A process is looked at first and reaped after its group was killed, so that its number cannot
# already belong to somebody else.
sub reap {
  my $strays_ended = 0;
  while (1) {
    $siginfo = "\0" x 128;
    last if syscall($waitid, 0, 0, $siginfo, WEXITED | WNOHANG | WNOWAIT, 0) != 0;
    my $pid = unpack 'x16 i', $siginfo;
    last if $pid == 0;
    my $launch = delete $running{$pid};
    kill 'KILL', -$pid if $launch;
    syscall $wait4, $pid, $status, WNOHANG, $rusage;
    if    ($launch)                        { process_ended($launch) }
    elsif (my $lost = delete $spare{$pid}) { @spares = grep { $_ != $lost } @spares }
    else                                   { $strays_ended = 1; delete $seen{$pid} }
  }
  end_strays() if $strays_ended || %ending || %seen;
  return;
}

sub process_ended {
  my ($launch) = @_;
  my $pid  = $launch->{pid};
  my $code = unpack 'i', $status;
  my @time = unpack 'q5', $rusage;
  $launch->{ended} = micros();
  $launch->{usage} = [$time[4], $time[0] * 1_000_000 + $time[1], $time[2] * 1_000_000 + $time[3]];
  my $signal = $code & 127;
  @{$launch}{qw(kind code)} = $signal ? (SIGNALLED, $signal) : (EXITED, $code >> 8);
  read_failure($launch) if $launch->{kind} == EXITED && $launch->{code} == 127;
  return start($launch) if give_back_pipe($launch) && !$launch->{is_killed};
  my @others = strays();
  if (kill(0, -$pid) || @others) { $ending{$pid} = $launch }
  else                           { tell_end($launch) }
  return;
}

# Keeps the pipe of a launch that came from a spare for the next one. Returns whether the request is still in it: the spare
# was killed, by somebody else, before it became the program.
sub give_back_pipe {
  my ($launch) = @_;
  my $pipe = delete $launch->{pipe} or return 0;
  if ($launch->{kind} == EXITED) { push @pipes, $pipe; return 0 }
  # The next reader would find what is left: this pipe is used no more.
  fcntl $pipe->{from}, F_SETFL, O_NONBLOCK;
  return sysread $pipe->{from}, my $left, 1;
}

sub read_failure {
  my ($launch) = @_;
  while (sysread $failures, my $record, 9) {
    my ($pid, $stage, $errno) = unpack 'NCN', $record;
    $failed{$pid} = [$stage, $errno];
  }
  my $failure = delete $failed{ $launch->{pid} } or return;
  @{$launch}{qw(kind stage code)} = (NOT_STARTED, @$failure);
  return;
}

# Our children that are no running launch, and no spare.
sub strays {
  my $list = '';
  if ($children) {
    sysseek $children, 0, 0;
    while (sysread $children, my $part, READ_BYTES) { $list .= $part }
  }
  else {
    opendir my $proc, '/proc' or return;
    $list = join ' ', grep { /^\d+$/ && (stat_of($_))[0] == $self } readdir $proc;
  }
  return grep { !exists $running{$_} && !exists $spare{$_} } split ' ', $list;
}

# Parent and session of a process; zeros when it is gone.
sub stat_of {
  my ($pid) = @_;
  open my $file, '<', "/proc/$pid/stat" or return (0, 0);
  sysread $file, my $line, 4096;
  my @fields = split ' ', substr $line, rindex($line, ')') + 1;
  return @fields[1, 3];
}

# The launch that a stray belongs to: its id, or 0 when nothing says so.
sub owner_of {
  my ($pid) = @_;
  my $session = (stat_of($pid))[1];
  my $launch  = $running{$session} // $ending{$session};
  return $launch->{id} if $launch;
  open my $file, '<', "/proc/$pid/environ" or return 0;
  local $/ = undef;
  my $environ = <$file> // '';
  return $environ =~ /(?:^|\0)HEADROOM_JOB=\Q$token\E\.(\d+)\./ ? $1 : 0;
}

# Kills the strays whose launch is over, and tells the ends that waited for that.
sub end_strays {
  my %alive = map { $_->{id} => 1 } values %running;
  my %held;
  for my $pid (strays()) {
    my $owner = owner_of($pid);
    next if $alive{$owner};
    if ($owner == 0) {
      my $since = $seen{$pid} //= $last_id;
      next if grep { $_ <= $since } keys %alive;
    }
    kill 'KILL', $pid;
    my $launch = $launches{$owner};
    $held{$owner} = 1;
    $launch->{strays}++ if $launch && !$killed_for{$pid}++;
  }
  %killed_for = () unless %held;
  my $now = micros();
  for my $pid (keys %ending) {
    my $launch  = $ending{$pid};
    my $is_late = $now - $launch->{ended} > ENDING_MICROS;
    if (!$is_late && ($held{ $launch->{id} } || kill 0, -$pid)) {
      kill 'KILL', -$pid unless exists $running{$pid};
      next;
    }
    delete $ending{$pid};
    tell_end($launch);
  }
  return;
}

sub on_start {
  my ($body) = @_;
  my ($id, $number, $env, $log_bytes) = unpack 'NnNN', $body;
  my ($folder, $output, @argv) = split /\0/, substr($body, 14), -1;
  my $launch = {
    id   => $id,
    slot => slot_of($number),
    env  => $envs{$env} // [],
    folder => $folder, output => $output, argv => \@argv,
    stage  => 0, strays => 0, head => '', tail => '', log_total => 0, log_half => int $log_bytes / 2,
  };
  $launches{$id} = $launch;
  $last_id = $id;
  if   ($launch->{slot}{busy}) { push @{ $launch->{slot}{queue} }, $launch }
  else                         { start($launch) }
  return;
}

sub on_kill {
  my ($body) = @_;
  my ($id, $signal) = unpack 'NC', $body;
  my $launch = $launches{$id} or return;
  my $ends = $signal == SIGKILL || $signal == SIGTERM;
  if (!exists $launch->{started}) {
    return unless $ends;
    my $queue = $launch->{slot}{queue};
    @$queue = grep { $_ != $launch } @$queue;
    @{$launch}{qw(kind code)} = (DROPPED, 0);
    return tell_end($launch);
  }
  $launch->{is_killed} = 1 if $ends;
  # What is ending is being killed already, and its number may be somebody else's.
  kill $signal, -$launch->{pid} if exists $running{ $launch->{pid} };
  return;
}

my %on = (
  E => sub { my ($id, $list) = unpack 'N a*', $_[0]; $envs{$id} = [split /\0/, $list]; return },
  S => \&on_start,
  K => \&on_kill,
  P => sub { tell_frame('P'); return },
);

sub read_frames {
  my $read = sysread STDIN, $in, READ_BYTES, length $in;
  return if !defined $read && ($! == EINTR || $! == EAGAIN);
  die_with_all() unless $read;
  my $at = 0;
  while (length($in) - $at >= 4) {
    my $length = unpack 'N', substr $in, $at, 4;
    last if length($in) - $at - 4 < $length;
    my $letter = substr $in, $at + 4, 1;
    $on{$letter}->(substr $in, $at + 5, $length - 1) if $on{$letter};
    $at += 4 + $length;
  }
  substr $in, 0, $at, '' if $at;
  return;
}

sub remove_tree {
  my ($path) = @_;
  if (-d $path && !-l $path) {
    if (opendir my $folder, $path) {
      remove_tree("$path/$_") for grep { $_ ne '.' && $_ ne '..' } readdir $folder;
    }
    return rmdir $path;
  }
  return unlink $path;
}

# The worker is gone or wants us to end: kill until no descendant is left, then leave nothing on disk.
sub die_with_all {
  my $until = micros() + LAST_KILL_MICROS;
  %spare = ();
  while (micros() < $until) {
    kill 'KILL', map { -$_ } keys %running, keys %ending;
    %running = %ending = ();
    kill 'KILL', $_ for strays();
    my $pid;
    do { $pid = syscall $wait4, -1, $status, WNOHANG, $rusage } while $pid > 0;
    last if $pid < 0;    # no child is left
    select undef, undef, undef, 0.002;
  }
  remove_tree($scratch);
  syscall $exit_group, 0;
  return;
}

while (1) {
  flush_out() if length $out;
  make_spares() if $launched && !@spares;
  my $wait = '';
  vec($wait, 0, 1) = 1;
  vec($wait, $signal_fd, 1) = 1;
  for my $launch (values %running) { vec($wait, fileno $launch->{slot}{read}, 1) = 1 }
  my $ready = select $wait, undef, undef, %ending || %seen ? 0.02 : undef;
  next if $ready < 0;
  if ($ready > 0) {
    for my $launch (values %running) {
      drain($launch->{slot}, $launch, 1) if vec $wait, fileno $launch->{slot}{read}, 1;
    }
    if (vec $wait, $signal_fd, 1) { 1 while sysread $signals, my $skip, 128 * 16 }
  }
  reap() if $ready == 0 || vec $wait, $signal_fd, 1;
  read_frames() if $ready > 0 && vec $wait, 0, 1;
}
