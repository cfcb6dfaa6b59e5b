/** Takes a job that waits out of its queue. */
import type { Job } from "bullmq";

/** Whether it was taken out; false when a worker has claimed it in between, which sees that there is nothing to do. */
export async function isRemoved(job: Job): Promise<boolean> {
  try {
    await job.remove();
    return true;
  } catch (error) {
    if ((await job.getState()) === "active") return false;
    throw error;
  }
}
