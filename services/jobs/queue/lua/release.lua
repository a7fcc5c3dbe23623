-- ARGV: member, token, job.  1 when nothing of the job waits or is out.
if redis.call('HGET', 'seqway:owners', ARGV[1]) == ARGV[2] then
  redis.call('HDEL', 'seqway:owners', ARGV[1])
  redis.call('ZREM', 'seqway:out', ARGV[1])
end
if redis.call('EXISTS', 'seqway:pending:' .. ARGV[3]) == 1 then return 0 end
-- The window bounds how many are out.
for _, member in ipairs(redis.call('ZRANGE', 'seqway:out', 0, -1)) do
  if string.sub(member, 1, #ARGV[3] + 1) == ARGV[3] .. '/' then return 0 end
end
return 1
