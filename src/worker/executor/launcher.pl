#!/usr/bin/perl
# Starts processes for the worker, one at a time per slot, and tells how each one ended.
#
# Why a process of its own: a process counts what its parent held into its own peak, and this parent is small; wait4 gives
# exact figures per process, which Node does not; and the death of the worker, even by SIGKILL, is seen here as
# the end of standard input, upon which everything that was started is killed.
#
# States of a launch: queued (its slot is busy) -> running -> ending (the process is reaped, but what it left behind is
# still being killed; 2 s at most) -> told. Each `S` frame gets exactly one `X` frame.
#
# How a process comes to be: a copy of this one would have to copy its page tables, and each page that either writes
# afterwards. So it is a child that shares our memory until it is the program (clone with CLONE_VM, as posix_spawn does).
# Perl cannot go on in it, for it would share Perl's stack as well: it runs a few instructions of machine code (see
# %code) that keep all in registers, and make the system calls of a list that lies in a buffer of its slot. We go on
# meanwhile: a program on a file system that hangs holds up its own launch alone.
#
# What keeps descendants in reach: this process is a "subreaper", so a descendant whose parent died becomes a child of
# ours. A child that is no running launch is a stray. It is killed as soon as its own launch is over; it is known by its
# process group, else by HEADROOM_JOB in its environment, else it is killed when every launch that ran when it was first
# seen has ended.
#
# Control groups: where the worker may make some, a launch that asks for one is begun in that of its slot, which its child
# enters before it is the program. So nothing that it starts is ever out of sight: it counts, and it is killed with the rest.
#
# Frames, both ways: length of the rest (u32, big endian), one letter, then:
#   in   E  env id u32, "NAME=value" joined by NUL
#        S  id u32, slot u16, env id u32, log bytes u32, 1 for a control group u8, then joined by NUL: folder, file for standard output or "", argv
#        K  id u32, signal u8 (a queued launch is dropped, if the signal ends)
#        P  (asks for an answer)
#   out  B  id u32, pid u32, started at u64 (microseconds, CLOCK_MONOTONIC), 1 if it is in a control group u8
#        X  id u32, pid u32, kind u8 (see below), code u32, stage u8, strays u32, started u64, ended u64, peak KiB u64,
#           user u64, system u64, log length in all u64, length of the head u32, head and tail of the log
#        P  (the answer)
# Arguments: system call table (x64 | arm64), token, scratch folder, nice, oom_score_adj, then the control groups below
# which those of slots are made: none, or one, or that of the memory and that of the CPU time.
use strict;
use warnings;
use DynaLoader;

use constant { EXITED => 0, SIGNALLED => 1, NOT_STARTED => 2, DROPPED => 3 };
use constant { STAGE_FORK => 1, STAGE_FOLDER => 2, STAGE_OUTPUT => 3, STAGE_EXEC => 4, STAGE_SETUP => 5 };
use constant { SIGKILL => 9, SIGPIPE => 13, SIGTERM => 15, SIGCHLD => 17 };
use constant { WNOHANG => 1, WEXITED => 4, WNOWAIT => 0x01000000 };
use constant { O_NONBLOCK => 04000, O_CLOEXEC => 02000000 };
use constant { AT_FDCWD => -100, OUTPUT_FLAGS => 01 | 0100 | 0200 };
use constant { EINTR => 4, EAGAIN => 11, F_SETFL => 4 };
use constant { PROT_READ => 1, PROT_WRITE => 2, PROT_EXEC => 4, PRIVATE_ANONYMOUS => 0x22, MADV_DONTNEED => 4, PAGE => 4096 };
use constant { PR_SET_PDEATHSIG => 1, PR_SET_CHILD_SUBREAPER => 36, RLIMIT_CORE => 4 };
use constant { BLOCK_BYTES => 8192, BLOCK_HEAD => 16, STEPS_BYTES => 12 * 56 };
use constant { READ_BYTES => 65536, ENDING_MICROS => 2_000_000, LAST_KILL_MICROS => 10_000_000 };

my ($arch, $token, $scratch, $nice, $oom_score_adj, @parents) = @ARGV;
my %tables = (
  x64 => {
    read => 0, write => 1, close => 3, mmap => 9, mprotect => 10, madvise => 28, rt_sigprocmask => 14, execve => 59, wait4 => 61, chdir => 80,
    setpgid => 109, getppid => 110, prctl => 157, clock_gettime => 228, exit_group => 231, waitid => 247, openat => 257,
    signalfd4 => 289, dup3 => 292, prlimit64 => 302,
  },
  arm64 => {
    read => 63, write => 64, close => 57, mmap => 222, mprotect => 226, madvise => 233, rt_sigprocmask => 135, execve => 221, wait4 => 260,
    chdir => 49, setpgid => 154, getppid => 173, prctl => 167, clock_gettime => 113, exit_group => 94, waitid => 95,
    openat => 56, signalfd4 => 74, dup3 => 24, prlimit64 => 261,
  },
);
# What a child runs until it is the program: one line per instruction, CELL stands for the address of $cell.
# Ours: clones with the block whose address is in the first word of the cell, puts the result into the second, returns.
# The child: makes one system call per step of the block (number, four arguments, least and greatest result that is right),
# until one of them is wrong: then the address of the step and the result go to the head of the block, and it exits.
my %code = (
  x64 => [
    '53',                      # push rbx
    '55',                      # push rbp
    '48bd CELL',               # mov rbp, CELL
    '488b5d00',                # mov rbx, [rbp]           the block
    'bf11010000',              # mov edi, 0x111           CLONE_VM | SIGCHLD
    '31f6', '31d2',            # xor esi, esi; xor edx, edx
    '4531d2', '4531c0',        # xor r10d, r10d; xor r8d, r8d
    'b838000000',              # mov eax, 56              clone
    '0f05',                    # syscall
    '4885c0',                  # test rax, rax
    '7407',                    # je child
    '48894508',                # mov [rbp + 8], rax
    '5d', '5b', 'c3',          # pop rbp; pop rbx; ret
    '488d6b10',                # child: lea rbp, [rbx + 16]
    '488b4500',                # step: mov rax, [rbp]
    '488b7d08', '488b7510',    # mov rdi, [rbp + 8]; mov rsi, [rbp + 16]
    '488b5518', '4c8b5520',    # mov rdx, [rbp + 24]; mov r10, [rbp + 32]
    '0f05',                    # syscall
    '483b4528', '7c0c',        # cmp rax, [rbp + 40]; jl wrong
    '483b4530', '7f06',        # cmp rax, [rbp + 48]; jg wrong
    '4883c538',                # add rbp, 56
    'ebd8',                    # jmp step
    '48892b', '48894308',      # wrong: mov [rbx], rbp; mov [rbx + 8], rax
    'bf7f000000',              # mov edi, 127
    'b8e7000000',              # mov eax, 231             exit_group
    '0f05', '0f0b',            # syscall; ud2
  ],
  arm64 => [
    'f353bfa9',                # stp x19, x20, [sp, -16]!
    'd3030058',                # ldr x19, cell
    '740240f9',                # ldr x20, [x19]           the block
    '202280d2',                # mov x0, 0x111            CLONE_VM | SIGCHLD
    '010080d2', '020080d2',    # mov x1, 0; mov x2, 0
    '030080d2', '040080d2',    # mov x3, 0; mov x4, 0
    '881b80d2',                # mov x8, 220              clone
    '010000d4',                # svc 0
    '800000b4',                # cbz x0, child
    '600600f9',                # str x0, [x19, 8]
    'f353c1a8',                # ldp x19, x20, [sp], 16
    'c0035fd6',                # ret
    '93420091',                # child: add x19, x20, 16
    '680240a9',                # step: ldp x8, x0, [x19]
    '610a41a9', '632642a9',    # ldp x1, x2, [x19, 16]; ldp x3, x9, [x19, 32]
    '010000d4',                # svc 0
    '1f0009eb', 'cb000054',    # cmp x0, x9; b.lt wrong
    '691a40f9',                # ldr x9, [x19, 48]
    '1f0009eb', '6c000054',    # cmp x0, x9; b.gt wrong
    '73e20091',                # add x19, x19, 56
    'f6ffff17',                # b step
    '930200a9',                # wrong: stp x19, x0, [x20]
    'e00f80d2',                # mov x0, 127
    'c80b80d2',                # mov x8, 94               exit_group
    '010000d4', '000020d4',    # svc 0; brk 0
    'CELL',                    # cell
  ],
);
die "launcher: expected arguments ARCH TOKEN SCRATCH NICE OOM_SCORE_ADJ [CONTROL_GROUP...]\n" unless @ARGV >= 5;
my $nr = $tables{$arch} or die "launcher: expected x64 or arm64, found $arch\n";
die "launcher: expected a perl with 64-bit integers\n" unless length(pack 'J', 0) == 8;
my ($openat, $chdir, $close, $dup3, $execve) = @{$nr}{qw(openat chdir close dup3 execve)};
my ($prctl, $clock_gettime, $exit_group, $waitid, $wait4) = @{$nr}{qw(prctl clock_gettime exit_group waitid wait4)};

my $self = $$;
# running, ending: pid => launch; seen: stray => newest launch then
my (%envs, %launches, %running, %ending, %seen, %killed_for);
my @slots;
# cell: the address of a block for the machine code, and the number of the child from it
my $cell          = pack 'J2', 0, 0;
my $cell_at       = address_of($cell);
my $no_signals    = "\0" x 8;
my $no_signals_at = address_of($no_signals);
# Written to a group's list, it means the process that writes.
my $myself    = '0';
my $myself_at = address_of($myself);
# Every child gets a process group of its own, dies with us, and is gone if we died before it could say so. All are of our
# session: where the kernel shares the processor out by sessions (autogroup), jobs that were one each would leave the
# worker, which is one as well, with the share of one job.
my $leave_home = join '',
  step($nr->{rt_sigprocmask}, 2, $no_signals_at, 0, 8, 0, 0),
  step($nr->{setpgid}, 0, 0, 0, 0, 0, 0),
  step($prctl,         PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0),
  step($nr->{getppid}, 0, 0, 0, 0, $self, $self);
my %stages = ($chdir => STAGE_FOLDER, $openat => STAGE_OUTPUT, $execve => STAGE_EXEC);
my ($out, $in, $last_id) = ('', '', 0);

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
# SIGCHLD is blocked and read through a descriptor, so that none comes between looking and waiting. SIGPIPE is blocked
# too: an ignored one would stay ignored in every process that we start, and a handler could run in a child that has no
# stack of its own.
my $chld_mask = pack 'Q', 1 << (SIGCHLD - 1);
my $blocked   = pack 'Q', 1 << (SIGCHLD - 1) | 1 << (SIGPIPE - 1);
syscall($nr->{rt_sigprocmask}, 0, $blocked, 0, 8) == 0 or die "launcher: cannot block signals: $!\n";
my $signal_fd = syscall($nr->{signalfd4}, -1, $chld_mask, 8, O_NONBLOCK | O_CLOEXEC);
$signal_fd >= 0 or die "launcher: no signalfd: $!\n";
open my $signals, '<&=', $signal_fd or die "launcher: cannot read signals: $!\n";
open my $null, '<', '/dev/null' or die "launcher: cannot open /dev/null: $!\n";
my $null_fd = fileno $null;
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
    my $slot = { read => $read, write => $write, fd => fileno $write, queue => [], busy => 0 };
    make_block($slot, BLOCK_BYTES);
    $slot;
  };
}

# The buffer that the child of a slot finds its system calls in: the head (16 bytes, see %code), the steps, the pointers to
# arguments and variables, the texts. Parts of it are replaced, never the whole: it stays where it is while the child reads
# it, until that is the program or gone.
sub make_block {
  my ($slot, $bytes) = @_;
  $slot->{block} = '';
  vec($slot->{block}, $bytes - 1, 8) = 0;
  $slot->{at} = address_of($slot->{block});
  return;
}

sub address_of { return unpack 'J', pack 'P', $_[0] }

# Makes the machine code callable, as `share_memory`. It is given no arguments, and leaves Perl's mark of where they begin
# to the end of the sub that called it.
sub load_code {
  my $bytes = join '', map { /^(.*)CELL$/ ? pack('H* J', $1 =~ s/ //r, $cell_at) : pack 'H*', $_ } @{ $code{$arch} };
  my $at = syscall $nr->{mmap}, 0, PAGE, PROT_READ | PROT_WRITE, PRIVATE_ANONYMOUS, -1, 0;
  die "launcher: no memory for code: $!\n" if $at == -1;
  pipe my $from, my $to or die "launcher: no pipe: $!\n";
  syswrite $to, $bytes;
  syscall($nr->{read}, fileno $from, $at, length $bytes) == length $bytes or die "launcher: cannot write code: $!\n";
  syscall($nr->{mprotect}, $at, PAGE, PROT_READ | PROT_EXEC) == 0 or die "launcher: memory for code is refused: $!\n";
  DynaLoader::dl_install_xsub('main::share_memory', $at);
  return;
}

# The control group of a slot, made when it is first asked for; 0 when it cannot be.
sub group_of {
  my ($slot, $number) = @_;
  return $slot->{group} //= make_group("$token-$number") || 0;
}

# The worker makes and removes those of all slots. One that somebody else has removed is made again.
sub make_parent {
  my ($folder) = @_;
  mkdir $folder or return;
  if (open my $control, '+<', "$folder/cgroup.subtree_control") { syswrite $control, '+memory' }
  return;
}

sub make_group {
  my ($name) = @_;
  make_parent($_) for @parents;
  my @folders = map { "$_/$name" } @parents;
  my $group = { folders => \@folders, enter => [] };
  for my $folder (@folders) {
    mkdir $folder;
    open my $enter, '>', "$folder/cgroup.procs" or return;
    push @{ $group->{enter} }, $enter;
  }
  open $group->{list}, '<', "$folders[0]/cgroup.procs" or return;
  # Version 1 has no such file, and no other way than to kill one after the other.
  open $group->{kill}, '>', "$folders[0]/cgroup.kill" or delete $group->{kill} if -e "$folders[0]/cgroup.kill";
  open $group->{cpu}, '<', "$folders[-1]/cpuacct.usage" or open $group->{cpu}, '<', "$folders[-1]/cpu.stat" or delete $group->{cpu};
  return $group;
}

# The groups that jobs have made below one, the deepest first. Mostly there are none, which the number of links tells.
sub groups_below {
  my ($folder) = @_;
  return if ((stat $folder)[3] // 2) == 2;
  opendir my $entries, $folder or return;
  my @folders = grep { -d } map { "$folder/$_" } grep { !/^\.\.?$/ } readdir $entries;
  return map { (groups_below($_), $_) } @folders;
}

# The processes in a group and below it. One that we cannot see is listed as 0, which `kill` would take for our own process
# group.
sub members {
  my ($group) = @_;
  my $list = '';
  sysseek $group->{list}, 0, 0;
  while (sysread $group->{list}, my $part, READ_BYTES) { $list .= $part }
  for my $folder (groups_below($group->{folders}[0])) {
    open my $below, '<', "$folder/cgroup.procs" or next;
    while (sysread $below, my $part, READ_BYTES) { $list .= $part }
  }
  return grep { $_ > 0 } split ' ', $list;
}

sub kill_members {
  my ($group) = @_;
  my @pids = members($group);
  if ($group->{kill}) { syswrite $group->{kill}, '1' }
  kill 'KILL', @pids;
  return @pids;
}

# CPU time of all that ever ran in a group, in microseconds; 0 where nobody counts it.
sub cpu_of {
  my ($group) = @_;
  my $file = $group->{cpu} or return 0;
  sysseek $file, 0, 0;
  sysread $file, my $text, 4096 or return 0;
  return $text =~ /^usage_usec (\d+)/ ? $1 : $text =~ /^(\d+)/ ? int $1 / 1000 : 0;
}

# A system call of a child: number, four arguments, least and greatest result that is right.
sub step { return pack 'J5 q2', @_ }

# The calls of a launch, twelve at most, when its texts lie at these addresses. Descriptors 0 to 2 are open here, so that what is opened
# after the end of 1 is 1.
sub steps_of {
  my ($launch, $folder_at, $output_at, $path_at, $args_at, $env_at) = @_;
  my $log_fd = $launch->{slot}{fd};
  my $output =
    $launch->{output} eq ''
    ? step($dup3, $log_fd, 1, 0, 0, 1, 1)
    : step($close, 1, 0, 0, 0, 0, 0) . step($openat, AT_FDCWD, $output_at, OUTPUT_FLAGS, 0666, 1, 1);
  my @enter = map { step($nr->{write}, fileno $_, $myself_at, 1, 0, -4095, 1) } $launch->{group} ? @{ $launch->{group}{enter} } : ();
  return join '', $leave_home, @enter, step($chdir, $folder_at, 0, 0, 0, 0, 0), $output, step($dup3, $null_fd, 0, 0, 0, 0, 0),
    step($dup3, $log_fd, 2, 0, 0, 2, 2), step($execve, $path_at, $args_at, $env_at, 0, 0, -1);
}

# Starts the process of a launch. Returns its number, or an error's number below 0.
sub spawn {
  my ($launch) = @_;
  my ($slot, $argv, $env) = @{$launch}{qw(slot argv env)};
  my @texts = (@{$launch}{qw(folder output mark)}, @$argv);
  my $texts = join "\0", @texts, '';
  my $before = BLOCK_HEAD + STEPS_BYTES + 8 * (@$argv + 1) + length($env->{pointers}) + 16;
  make_block($slot, $before + length $texts) if length $slot->{block} < $before + length $texts;
  my $at      = $slot->{at} + $before;
  my @at      = map { my $here = $at; $at += 1 + length; $here } @texts;
  my ($folder_at, $output_at, $mark_at, @argv_at) = @at;
  my $args_at = $slot->{at} + BLOCK_HEAD + STEPS_BYTES;
  my $env_at  = $args_at + 8 * (@argv_at + 1);
  my $steps   = steps_of($launch, $folder_at, $output_at, $argv_at[0], $args_at, $env_at);
  my $block   = join '', pack('J2 a' . STEPS_BYTES, 0, 0, $steps), pack('J*', @argv_at, 0), $env->{pointers},
    pack('J2', $mark_at, 0), $texts;
  substr $slot->{block}, 0, length $block, $block;
  substr $cell, 0, 8, pack 'J', $slot->{at};
  share_memory();
  return unpack 'x8 q', $cell;
}

# The variables of launches, in place.
sub env_of {
  my ($list) = @_;
  my $env = { text => "$list\0" };
  my $at  = address_of($env->{text});
  $env->{pointers} = pack 'J*', map { my $here = $at; $at += 1 + length; $here } split /\0/, $list;
  return $env;
}

sub start {
  my ($launch) = @_;
  my $slot = $launch->{slot};
  $slot->{busy} = 1;
  # A process may have set O_NONBLOCK on the pipe it shared with those after it.
  fcntl $slot->{write}, F_SETFL, 0;
  $launch->{mark}    = "HEADROOM_JOB=$token.$launch->{id}.";
  # What was left in it and cannot be killed would be taken for a part of this launch.
  my $group = $launch->{wants_group} && group_of($slot, $launch->{number});
  if ($group && !members($group)) {
    rmdir $_ for map { groups_below($_) } @{ $group->{folders} };
    @{$launch}{qw(group cpu_before)} = ($group, cpu_of($group));
  }
  $launch->{started} = micros();
  my $pid = spawn($launch);
  if ($pid < 0) {
    @{$launch}{qw(kind code stage pid)} = (NOT_STARTED, -$pid, STAGE_FORK, 0);
    return tell_end($launch);
  }
  $launch->{pid} = $pid;
  $running{$pid} = $launch;
  tell_frame(pack 'aNNQ>C', 'B', $launch->{id}, $pid, $launch->{started}, $launch->{group} ? 1 : 0);
  return;
}

sub tell_end {
  my ($launch) = @_;
  $launch->{ended} //= micros();
  drain($launch->{slot}, $launch, 64) if $launch->{pid};
  my $usage = $launch->{usage} // [0, 0, 0];
  if ($launch->{group}) {
    # What nobody waited for counts as well.
    my $more = cpu_of($launch->{group}) - $launch->{cpu_before} - $usage->[1] - $usage->[2];
    $usage->[1] += $more if $more > 0;
  }
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
    if ($launch) { process_ended($launch) }
    else         { $strays_ended = 1; delete $seen{$pid} }
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
  read_failure($launch);
  my @others = strays();
  if (kill(0, -$pid) || @others || $launch->{group} && members($launch->{group})) { $ending{$pid} = $launch }
  else                           { tell_end($launch) }
  return;
}

# What a child left at the head of its block when it did not become the program.
sub read_failure {
  my ($launch) = @_;
  my $slot = $launch->{slot};
  my ($step_at, $result) = unpack 'J q', $slot->{block};
  return if $step_at == 0;
  my $call = unpack 'J', substr $slot->{block}, $step_at - $slot->{at}, 8;
  @{$launch}{qw(kind stage code)} = (NOT_STARTED, $stages{$call} // STAGE_SETUP, $result < 0 ? -$result : 0);
  return;
}

# Our children that are no running launch.
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
  return grep { !exists $running{$_} } split ' ', $list;
}

# Parent and process group of a process; zeros when it is gone.
sub stat_of {
  my ($pid) = @_;
  open my $file, '<', "/proc/$pid/stat" or return (0, 0);
  sysread $file, my $line, 4096;
  my @fields = split ' ', substr $line, rindex($line, ')') + 1;
  return @fields[1, 2];
}

# The launch that a stray belongs to: its id, or 0 when nothing says so.
sub owner_of {
  my ($pid) = @_;
  my $group  = (stat_of($pid))[1];
  my $launch = $running{$group} // $ending{$group};
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
  for my $launch (grep { $_->{group} } values %ending) {
    for my $pid (kill_members($launch->{group})) {
      $held{ $launch->{id} } = 1;
      $launch->{strays}++ if !$killed_for{$pid}++;
    }
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
  my ($id, $number, $env, $log_bytes, $wants_group) = unpack 'NnNNC', $body;
  my ($folder, $output, @argv) = split /\0/, substr($body, 15), -1;
  my $launch = {
    id   => $id,
    slot => slot_of($number),
    env  => $envs{$env},
    number => $number, wants_group => $wants_group && @parents > 0,
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
  # What is ending is being killed already, and its number may be somebody else's.
  kill $signal, -$launch->{pid} if exists $running{ $launch->{pid} };
  return;
}

my %on = (
  E => sub { my ($id, $list) = unpack 'N a*', $_[0]; $envs{$id} = env_of($list); return },
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

sub groups { return grep { $_ } map { $_ && $_->{group} } @slots }

# The worker is gone or wants us to end: kill until no descendant is left, then leave nothing on disk.
sub die_with_all {
  my $until = micros() + LAST_KILL_MICROS;
  while (micros() < $until) {
    kill 'KILL', map { -$_ } keys %running, keys %ending;
    %running = %ending = ();
    kill 'KILL', $_ for strays();
    kill_members($_) for groups();
    my $pid;
    do { $pid = syscall $wait4, -1, $status, WNOHANG, $rusage } while $pid > 0;
    last if $pid < 0;    # no child is left
    select undef, undef, undef, 0.002;
  }
  remove_tree($scratch);
  rmdir $_ for map { (groups_below($_), $_) } map { @{ $_->{folders} } } groups();
  syscall $exit_group, 0;
  return;
}

# The kernel counts what was in memory here, when a child left it to become the program, into the peak of that. So what only
# our start needed is let go of, and forgotten. Where nothing was changed (no anonymous page), it comes back from its file.
sub shrink {
  no warnings 'portable';    # of addresses above 32 bits
  open my $maps, '<', '/proc/self/smaps' or return;
  my @range;
  while (<$maps>) {
    if    (m{^(\w+)-(\w+) r-.p .* /})       { @range = map { hex } $1, $2 }
    elsif (/^\w+-\w+ /)                     { @range = () }
    elsif (@range && /^Anonymous: +0 kB/) { syscall $nr->{madvise}, $range[0], $range[1] - $range[0], MADV_DONTNEED }
  }
  if (open my $peak, '>', '/proc/self/clear_refs') { syswrite $peak, '5' }
  return;
}

load_code();
shrink();
while (1) {
  flush_out() if length $out;
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
